"""Versions of data sets: immutable, named by what is in them, in S3 or in a folder."""
