"""Writes every computed table and figure of these pages: python -m docs.scientific_background"""

from docs.scientific_background.figures import write_figures
from docs.scientific_background.tables import write_tables

write_tables()
write_figures()
