"""Air between a camera and what it sees: extinction of PM2.5, sunlight, sky and airlight.

Koschmieder 1924, per colour channel c and in linear light, for an object at distance d:

    I_c = J_c·t_c + A_c·(1 − t_c),   t_c = exp(−β_c·d)
    β_c = β_Rayleigh·(λ_c/550)^−4 + k·f(RH)·PM2.5·(λ_c/550)^−α
    f(RH) = 1 + κ·RH/(100 − RH)           Brock et al. 2016, 10.5194/acp-16-4987-2016

Radiances are in units of a white Lambertian surface that faces the sun outside the atmosphere.
Single scattering with an isotropic term for the rest: colours and gradients as a photographer
knows them, not a radiative transfer code.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from training.rendering.canvas import Floats

# Effective wavelengths of the sRGB primaries. [nm]
WAVELENGTH_NM = np.array([612.0, 549.0, 465.0])
RAYLEIGH_SEA_LEVEL = 12e-6  # at 550 nm and 1013 hPa [m-1], IMPROVE
RAYLEIGH_SCALE_HEIGHT_M = 8000.0
HIGHEST_HUMIDITY_PCT = 95.0  # above it fog, not f(RH), decides


@dataclass(frozen=True)
class Air:
    """The air of one moment.

    pm25                   [ug m-3], 0..1000
    relative_humidity_pct  [%], 0..100
    mass_efficiency_m2_g   dry mass extinction efficiency k at 550 nm [m2 g-1]
    hygroscopicity         κ of f(RH) [1]
    angstrom_exponent      α [1]: 1.8 fine smoke, 0.3 dust
    scattering_share       single-scattering albedo [1]: soot takes the rest
    asymmetry              Henyey-Greenstein g [1]
    haze_layer_m           height of the haze layer over the camera [m]
    pressure_hpa           [hPa], scales Rayleigh scattering
    """

    pm25: float
    relative_humidity_pct: float
    mass_efficiency_m2_g: float
    hygroscopicity: float
    angstrom_exponent: float
    scattering_share: float
    asymmetry: float
    haze_layer_m: float
    pressure_hpa: float

    def humidity_growth(self) -> float:
        """f(RH) [1]: extinction of the moist particles over that of the dry ones."""
        humidity = min(self.relative_humidity_pct, HIGHEST_HUMIDITY_PCT)
        return 1 + self.hygroscopicity * humidity / (100 - humidity)

    def particle_extinction(self) -> Floats:
        """Extinction of PM2.5 in R, G, B [m-1]."""
        at_550 = 1e-6 * self.mass_efficiency_m2_g * self.humidity_growth() * self.pm25
        return np.asarray(at_550 * (WAVELENGTH_NM / 550) ** -self.angstrom_exponent, np.float32)

    def rayleigh_extinction(self) -> Floats:
        """Extinction of clean air in R, G, B [m-1]."""
        at_550 = RAYLEIGH_SEA_LEVEL * self.pressure_hpa / 1013.25
        return np.asarray(at_550 * (WAVELENGTH_NM / 550) ** -4.0, np.float32)

    def extinction(self) -> Floats:
        """β in R, G, B [m-1]."""
        return self.rayleigh_extinction() + self.particle_extinction()


def draw_air(rng: np.random.Generator, pm25: float) -> Air:
    """Air with the given PM2.5 [ug m-3] whose particles and humidity are drawn.

    Bulk urban k is about 3.5 ± 0.8 m2 g-1; one moment in ten is dust: coarse, white, dry.
    """
    dusty = rng.uniform() < 0.1
    return Air(
        pm25=pm25,
        relative_humidity_pct=float(np.clip(rng.normal(62, 16), 15, 95)),
        mass_efficiency_m2_g=float(np.clip(rng.normal(2.2 if dusty else 3.5, 0.7), 1.5, 6)),
        hygroscopicity=float(rng.uniform(0.02, 0.06) if dusty else rng.uniform(0.08, 0.28)),
        angstrom_exponent=float(rng.uniform(0.2, 0.7) if dusty else rng.uniform(1.1, 1.8)),
        scattering_share=float(rng.uniform(0.80, 0.97)),
        asymmetry=float(rng.uniform(0.55, 0.72)),
        haze_layer_m=float(rng.uniform(500, 1800)),
        pressure_hpa=float(rng.uniform(840, 1015)),
    )


@dataclass(frozen=True)
class Sunlight:
    """What reaches the ground. Radiance units of the module; each (3,).

    direction   unit vector to the sun: right, up, towards the camera
    direct      beam, on a surface that faces it
    diffuse     from the whole sky, on a level surface
    aloft       beam in the clear air above the haze
    """

    direction: Floats
    direct: Floats
    diffuse: Floats
    aloft: Floats


def air_mass(elevation_deg: float) -> float:
    """Optical air mass of the sun's path [1] (Kasten and Young 1989); flat below the horizon."""
    e = max(elevation_deg, 0.0)
    return float(1 / (np.sin(np.radians(e)) + 0.50572 * (e + 6.07995) ** -1.6364))


def sunlight(
    air: Air, sun_elevation_deg: float, sun_azimuth_deg: float, cloud_cover: float
) -> Sunlight:
    """Direct and diffuse light. Azimuth from the optical axis, to the right [deg]."""
    e, a = np.radians(sun_elevation_deg), np.radians(sun_azimuth_deg)
    direction = np.array([np.cos(e) * np.sin(a), np.sin(e), -np.cos(e) * np.cos(a)], np.float32)
    rayleigh = air.rayleigh_extinction() * RAYLEIGH_SCALE_HEIGHT_M
    particles = air.particle_extinction() * air.haze_layer_m
    path = air_mass(sun_elevation_deg)
    # The sun's disc sinks through the horizon within about a degree.
    up = float(np.clip((sun_elevation_deg + 0.8) / 1.6, 0, 1))
    hidden = float(np.clip((cloud_cover - 0.45) / 0.4, 0, 1))
    aloft = up * np.exp(-0.6 * rayleigh * path)
    beam = up * np.exp(-(rayleigh + particles) * path)
    # Molecules send half of what they scatter down, particles, which scatter forwards, most of it.
    clear = np.exp(-rayleigh * path)
    scattered = 0.5 * (1 - clear)
    scattered += 0.8 * clear * (1 - np.exp(-air.scattering_share * particles * path))
    height = max(float(np.sin(e)), 0.0)
    through_cloud = hidden * 0.38 * height * np.exp(-0.5 * particles)
    twilight = 0.004 * np.array([0.55, 0.70, 1.0]) * np.exp(min(sun_elevation_deg, 0.0) / 2.5)
    diffuse = (1 - hidden) * height * scattered + through_cloud + twilight
    return Sunlight(
        direction=direction,
        direct=np.asarray(beam * (1 - 0.97 * hidden), np.float32),
        diffuse=np.asarray(diffuse + 0.06 * up * scattered, np.float32),
        aloft=np.asarray(aloft * (1 - 0.9 * hidden), np.float32),
    )


def airlight_and_sky(
    air: Air, sun: Sunlight, tan_right: Floats, tan_up: Floats
) -> tuple[Floats, Floats, Floats]:
    """Airlight, cloudless sky (H, W, 3) and the haze layer's transmission, for each direction.

    The sky is the haze layer's airlight before the clear air above it, so that the sky at the
    horizon and the far end of the ground meet in one colour.
    """
    right, up = np.meshgrid(tan_right, tan_up)
    length = np.sqrt(1 + right * right + up * up)
    towards_sun = (right * sun.direction[0] + up * sun.direction[1] - sun.direction[2]) / length
    sine = np.clip(up / length, 0, 1)
    phase_rayleigh = 0.75 * (1 + towards_sun * towards_sun)
    g = air.asymmetry
    phase_haze = (1 - g * g) / (1 + g * g - 2 * g * np.clip(towards_sun, -1, 0.999)) ** 1.5
    rayleigh, particles = air.rayleigh_extinction(), air.particle_extinction()

    ground = 0.15 * (sun.direct * max(float(sun.direction[1]), 0.0) + sun.diffuse)
    # Light that was scattered before comes from everywhere, most of it from near the horizon.
    around = 0.85 * sun.diffuse + 0.5 * ground
    source_rayleigh = 0.25 * phase_rayleigh[..., None] * sun.aloft + around
    source_haze = air.scattering_share * (0.25 * phase_haze[..., None] * sun.direct + around)
    total = rayleigh + particles
    airlight = (rayleigh * source_rayleigh + particles * source_haze) / total

    # Slant paths; the Earth's curvature ends them at the horizon.
    haze_path = air.haze_layer_m / (sine + 0.012)
    clear_path = RAYLEIGH_SCALE_HEIGHT_M / (sine + 0.03)
    haze_transmission = np.exp(-total * haze_path[..., None])
    clear = source_rayleigh * (1 - np.exp(-rayleigh * clear_path[..., None])) * 1.3
    sky = airlight * (1 - haze_transmission) + clear * haze_transmission
    return (
        airlight.astype(np.float32),
        sky.astype(np.float32),
        haze_transmission.astype(np.float32),
    )
