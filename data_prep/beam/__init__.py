"""Preparation of records on many machines, with Apache Beam."""
