"""A camera and a source of PM2.5 become a data set, hour by hour, by themselves.

configuration.py  one small TOML file
camera.py         where frames come from: an address, or a folder
frame.py          whether what came is a new picture
journal.py        what was taken and heard so far: one SQLite file, the only memory
labelling.py      when an hour is ripe to become a label
collector.py      one round of work, and the loop
"""
