"""What the air held, as those say who measured it: PurpleAir, SIATA and OpenAQ.

measurement.py    Sensor and SensorHour: what every source is turned into
client.py         asking over HTTP: limits, retries, time-outs, errors that say what to do
purpleair.py      low-cost sensors: channels.py judges them, corrections.py corrects them
siata.py          Medellín's reference stations, the last 72 hours
siata_legacy.py   the same network's frozen files, as history
openaq.py         whatever network OpenAQ passes on
sources.py        a source by its name
"""
