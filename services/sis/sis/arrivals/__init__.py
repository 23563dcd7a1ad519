"""What arrived, what did not, and why: counted and kept by ``intake``, which every door calls; shown to district IT by the rest."""
