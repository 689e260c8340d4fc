"""Signalled trainings, generated: a signal to one process, to all, or to torchrun, at a moment of a training; which is resumed
then, and compared to the bit with an undisturbed one. A step that was done and that no checkpoint has is lost."""
