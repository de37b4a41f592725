"""The proof: a second and a third derivation of every verdict, compared with what the compiler is about to write."""
