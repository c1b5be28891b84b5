"""One problem through several models, thought by thought: which of them is Coconut?"""
