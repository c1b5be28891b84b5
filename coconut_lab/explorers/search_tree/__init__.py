"""The latent search tree: what a model would say next, beside the graph of what is true."""
