"""Layer 4: what hardware reads. One file a target; `registry.py` lists them."""
