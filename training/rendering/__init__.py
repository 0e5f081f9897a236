"""Pictures of places that never were, through air that is known: a scene is drawn, lit, filled with
haze and photographed by a made-up camera.
"""
