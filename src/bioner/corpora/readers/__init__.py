"""One file a format: what stands in a raw file, as sentences or as documents with stand-off
annotations.
"""
