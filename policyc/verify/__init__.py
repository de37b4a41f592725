"""Layer 6: a bundle's images, executed by processors that others wrote, compared with the evaluator."""
