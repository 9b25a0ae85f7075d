"""Data preparation on many machines with Apache Beam."""
