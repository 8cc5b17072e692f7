"""Exams of minds, the weights by which notes are believed, and what all of it costs on this machine."""
