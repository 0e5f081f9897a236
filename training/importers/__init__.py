"""Public data sets in the layouts that their authors publish, as data sets of our own.

One file a source: how its rows become rows of `labels.csv` (see training/dataset.py), and which of
them do not. What could not be verified about a layout stands in that file's docstring.

    published_index.py    an air quality index back to PM2.5
    imported_photo.py     one photo of a source, or why it was left out
    imported_folder.py    photos and labels become a folder; interrupted work goes on
    sources.py            the importers by name
"""
