"""Killed trainings, generated: combinations of what a training can be made of, each run undisturbed, and again with kills and
resumes. A resume that computes other bits under a complete grade is a fault; everything else is counted.

A framework's space is one file in ``spaces``, which ``space.Space`` describes.
"""
