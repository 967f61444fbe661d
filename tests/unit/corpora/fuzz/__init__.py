"""Damaged files over all formats: each read as its sound gold, repaired and listed, or refused.

`made` makes small sound corpora, `written` writes them in every format, `damages` spoils the files,
and `verdict` says what reading one may end in.
"""
