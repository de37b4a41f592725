"""What the benches share: figures and their table, costs of processes, plots."""
