"""Reports: the paper's tables with ours beside them, and one page."""
