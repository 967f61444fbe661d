"""bioner: do LLMs surpass encoders for biomedical NER, by how much, is it real, and at what
cost?
"""

__version__ = "0.1.0"
