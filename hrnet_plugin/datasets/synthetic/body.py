"""Articulate people: proportions, natural poses and their 17 joints.

The body frame has x to the person's own left, y up and z forward, in metres.
"""

from dataclasses import dataclass

import numpy as np

from .geometry import Array, Frame, rot_x, rot_y, rot_z

KEYPOINTS = (
    'nose',
    'left_eye',
    'right_eye',
    'left_ear',
    'right_ear',
    'left_shoulder',
    'right_shoulder',
    'left_elbow',
    'right_elbow',
    'left_wrist',
    'right_wrist',
    'left_hip',
    'right_hip',
    'left_knee',
    'right_knee',
    'left_ankle',
    'right_ankle',
)

# COCO's own order, counted from 1.
SKELETON = (
    (16, 14),
    (14, 12),
    (17, 15),
    (15, 13),
    (12, 13),
    (6, 12),
    (7, 13),
    (6, 7),
    (6, 8),
    (7, 9),
    (8, 10),
    (9, 11),
    (2, 3),
    (1, 2),
    (1, 3),
    (2, 4),
    (3, 5),
    (4, 6),
    (5, 7),
)

# What label maps tell apart. A neck and what hangs over hips are torso; hands and feet belong to
# the lower limbs.
PART_NAMES = (
    'background',
    'head',
    'torso',
    'left_upper_arm',
    'right_upper_arm',
    'left_lower_arm',
    'right_lower_arm',
    'left_upper_leg',
    'right_upper_leg',
    'left_lower_leg',
    'right_lower_leg',
)

SIDES = (('left', 1.0), ('right', -1.0))


@dataclass(frozen=True)
class Build:
    """Proportions of one person; lengths in metres, `girth` and the rest as factors."""

    height: float
    girth: float = 1.0
    head: float = 1.0
    shoulders: float = 1.0
    hips: float = 1.0

    @property
    def unit(self) -> float:
        """Proportions below are those of a person 1.7 m tall."""
        return self.height / 1.7


def sample_build(rng: np.random.Generator) -> Build:
    child = rng.random() < 0.12
    masculine = rng.uniform(-1, 1)
    return Build(
        height=rng.uniform(1.1, 1.4) if child else rng.normal(1.7 + 0.06 * masculine, 0.05),
        girth=float(np.clip(rng.normal(1.05, 0.12), 0.85, 1.4)),
        head=rng.uniform(1.2, 1.35) if child else rng.uniform(1.03, 1.15),
        shoulders=(0.92 if child else 1.0) + 0.06 * masculine,
        hips=1.0 - 0.07 * masculine,
    )


@dataclass(frozen=True)
class Arm:
    """Degrees: forward swing, sideways lift, turn about the arm's axis, bend of the elbow."""

    swing: float
    lift: float
    turn: float
    elbow: float


@dataclass(frozen=True)
class Leg:
    """Degrees: forward swing of the hip, sideways spread, bend of the knee, foot's lift."""

    swing: float
    spread: float
    knee: float
    toes: float = 0.0


@dataclass(frozen=True)
class Pose:
    """Degrees throughout, positive forward (lean, nod) or to the person's left (bend, look)."""

    left_arm: Arm
    right_arm: Arm
    left_leg: Leg
    right_leg: Leg
    lean: float = 0.0
    bend: float = 0.0
    twist: float = 0.0
    nod: float = 0.0
    look: float = 0.0
    tilt: float = 0.0
    airborne: float = 0.0  # metres between the lowest foot and the ground
    seated: bool = False


Range = tuple[float, float]
ArmRange = tuple[Range, Range, Range, Range]
LegRange = tuple[Range, Range, Range]

HANGING: ArmRange = ((-12, 15), (5, 16), (-25, 15), (4, 30))
AKIMBO: ArmRange = ((-20, -8), (32, 48), (-85, -65), (80, 105))
WAVING: ArmRange = ((-5, 20), (75, 110), (60, 90), (50, 105))
RAISED: ArmRange = ((-5, 10), (135, 168), (60, 95), (5, 45))
SIDEWAYS: ArmRange = ((-10, 15), (60, 98), (0, 60), (2, 30))
REACHING: ArmRange = ((55, 105), (-2, 20), (-15, 15), (3, 30))
HOLDING: ArmRange = ((8, 35), (5, 18), (-45, -15), (65, 105))
PHONING: ArmRange = ((25, 50), (12, 30), (-30, 0), (125, 142))
PUMPED_BACK: ArmRange = ((-52, -25), (5, 16), (-25, 0), (70, 105))
PUMPED_FRONT: ArmRange = ((15, 48), (5, 14), (-30, -5), (70, 110))
STRAIGHT: LegRange = ((-5, 8), (2, 8), (0, 8))
RELAXED: LegRange = ((4, 16), (4, 12), (8, 28))


@dataclass(frozen=True)
class Family:
    """Ranges of a kind of pose; `a` and `b` become left and right or the reverse."""

    weight: float
    lean: Range
    leg_a: LegRange
    leg_b: LegRange
    arm_a: ArmRange
    arm_b: ArmRange
    airborne: Range = (0, 0)
    seated: bool = False


SEATED_LEG: LegRange = ((78, 94), (3, 14), (72, 96))

FAMILIES = {
    'stand': Family(14, (-3, 6), STRAIGHT, STRAIGHT, HANGING, HANGING),
    'relax': Family(10, (-3, 6), STRAIGHT, RELAXED, HANGING, HANGING),
    'walk': Family(
        16,
        (0, 8),
        ((14, 32), (1, 5), (2, 16)),
        ((-26, -8), (1, 5), (8, 36)),
        ((-35, -8), (5, 12), (-20, 5), (5, 30)),
        ((10, 38), (4, 12), (-25, 0), (10, 45)),
    ),
    'run': Family(
        8,
        (6, 16),
        ((40, 72), (0, 5), (50, 92)),
        ((-30, -8), (0, 5), (18, 70)),
        PUMPED_BACK,
        PUMPED_FRONT,
        (0, 0.08),
    ),
    'wave': Family(8, (-3, 5), STRAIGHT, RELAXED, WAVING, HANGING),
    'arms_up': Family(6, (-6, 4), STRAIGHT, STRAIGHT, RAISED, RAISED),
    'one_arm_up': Family(4, (-5, 5), STRAIGHT, RELAXED, RAISED, HANGING),
    'arms_out': Family(5, (-3, 5), STRAIGHT, STRAIGHT, SIDEWAYS, SIDEWAYS),
    'akimbo': Family(6, (-3, 5), STRAIGHT, RELAXED, AKIMBO, AKIMBO),
    'one_hand_on_hip': Family(4, (-3, 5), STRAIGHT, RELAXED, AKIMBO, HANGING),
    'reach': Family(6, (-2, 12), STRAIGHT, RELAXED, REACHING, HANGING),
    'hold': Family(7, (-3, 6), STRAIGHT, RELAXED, HOLDING, HOLDING),
    'phone': Family(4, (-3, 6), STRAIGHT, RELAXED, PHONING, HANGING),
    'sit': Family(
        9,
        (-8, 14),
        SEATED_LEG,
        SEATED_LEG,
        ((18, 42), (4, 16), (-30, 0), (25, 75)),
        ((18, 42), (4, 16), (-30, 0), (25, 75)),
        seated=True,
    ),
    'crouch': Family(
        3,
        (14, 32),
        ((70, 100), (5, 18), (88, 118)),
        ((60, 95), (5, 18), (80, 118)),
        ((40, 75), (4, 16), (-30, 0), (20, 70)),
        ((40, 75), (4, 16), (-30, 0), (20, 70)),
    ),
    'bow': Family(3, (28, 55), STRAIGHT, RELAXED, REACHING, HANGING),
    'kick': Family(3, (-10, 4), ((35, 68), (0, 10), (2, 30)), STRAIGHT, SIDEWAYS, HANGING),
    'jump': Family(
        4,
        (-4, 8),
        ((5, 40), (4, 22), (10, 65)),
        ((-15, 15), (4, 22), (5, 60)),
        SIDEWAYS,
        RAISED,
        (0.12, 0.35),
    ),
}


def _sample_arm(rng: np.random.Generator, ranges: ArmRange) -> Arm:
    swing, lift, turn, elbow = (rng.uniform(low, high) for low, high in ranges)
    return Arm(swing, lift, turn, elbow)


def _sample_leg(rng: np.random.Generator, ranges: LegRange) -> Leg:
    swing, spread, knee = (rng.uniform(low, high) for low, high in ranges)
    return Leg(swing, spread, knee, toes=rng.uniform(-4, 10))


def sample_pose(rng: np.random.Generator, family: str | None = None) -> Pose:
    """Sample a natural pose, of a family of `FAMILIES` if one is named."""
    if family is None:
        weights = np.array([f.weight for f in FAMILIES.values()])
        family = list(FAMILIES)[rng.choice(len(FAMILIES), p=weights / weights.sum())]
    kind = FAMILIES[family]
    left_arm, right_arm = (_sample_arm(rng, arm) for arm in (kind.arm_a, kind.arm_b))
    left_leg, right_leg = (_sample_leg(rng, leg) for leg in (kind.leg_a, kind.leg_b))
    if rng.random() < 0.5:
        left_arm, right_arm = right_arm, left_arm
        left_leg, right_leg = right_leg, left_leg
    return Pose(
        left_arm,
        right_arm,
        left_leg,
        right_leg,
        lean=rng.uniform(*kind.lean),
        bend=rng.normal(0, 3),
        twist=rng.normal(0, 7),
        nod=rng.normal(4, 8) - 0.5 * max(kind.lean),
        look=float(np.clip(rng.normal(0, 20), -50, 50)),
        tilt=rng.normal(0, 5),
        airborne=rng.uniform(*kind.airborne),
        seated=kind.seated,
    )


@dataclass(frozen=True)
class Body:
    """A posed body in the world: the ground is y = 0 and the pelvis is above the origin.

    Attributes:
        frames: of `pelvis`, `torso`, `head` and, with `left_` and `right_` before the name,
            `upper_arm`, `forearm`, `hand`, `thigh`, `shin`, `foot`. Limbs run along -y.
        lengths: of the limbs, in metres, by their name without the side.
        joints: (17, 3) in COCO's order.
    """

    build: Build
    pose: Pose
    frames: dict[str, Frame]
    lengths: dict[str, float]
    joints: Array


def assemble(build: Build, pose: Pose, yaw: float) -> Body:
    """Bend the skeleton into a pose and turn it.

    Args:
        build: The proportions.
        pose: The angles.
        yaw: Degrees: 0 looks at the camera, 90 to the image's right, 180 away.
    """
    unit = build.unit
    lengths = {'upper_arm': 0.29, 'forearm': 0.25, 'hand': 0.1, 'thigh': 0.42, 'shin': 0.42}
    lengths = {name: length * unit for name, length in lengths.items()} | {'foot': 0.19 * unit}
    frames = _frames(build, pose, yaw, lengths)
    lowest = min(
        frames[f'{side}_foot'].at(0, -0.07 * unit, z * unit)[1]
        for side, _ in SIDES
        for z in (-0.06, 0.18)
    )
    lift = np.array([0, pose.airborne - lowest, 0])
    frames = {name: Frame(f.origin + lift, f.axes) for name, f in frames.items()}
    return Body(build, pose, frames, lengths, _joints(build, frames, lengths))


def _frames(build: Build, pose: Pose, yaw: float, lengths: dict[str, float]) -> dict[str, Frame]:
    unit = build.unit
    pelvis = Frame(np.zeros(3), rot_y(yaw) @ rot_x(0.25 * pose.lean))
    torso = pelvis.turned(rot_x(0.75 * pose.lean) @ rot_z(-pose.bend) @ rot_y(pose.twist))
    neck = torso.turned(
        rot_y(pose.look) @ rot_x(pose.nod) @ rot_z(-pose.tilt), 0, 0.515 * unit, 0.005 * unit
    )
    head = neck.turned(np.eye(3), 0, 0.05 * unit + 0.115 * unit * build.head, 0.015 * unit)
    frames = {'pelvis': pelvis, 'torso': torso, 'neck': neck, 'head': head}
    for side, sign in SIDES:
        arm: Arm = getattr(pose, f'{side}_arm')
        leg: Leg = getattr(pose, f'{side}_leg')
        upper = torso.turned(
            rot_z(sign * arm.lift) @ rot_x(-arm.swing) @ rot_y(sign * arm.turn),
            sign * 0.185 * build.shoulders * unit,
            # A lifted arm takes the shoulder with it.
            (0.475 + 0.045 * np.clip((arm.lift - 60) / 90, 0, 1)) * unit,
        )
        forearm = upper.turned(rot_x(-arm.elbow), 0, -lengths['upper_arm'])
        thigh = pelvis.turned(
            rot_z(sign * leg.spread) @ rot_x(-leg.swing) @ rot_y(sign * 6),
            sign * 0.094 * build.hips * unit,
        )
        shin = thigh.turned(rot_x(leg.knee), 0, -lengths['thigh'])
        # On the ground the sole lies level; in the air it hangs from the shin.
        level = leg.swing - leg.knee
        foot_lift = level if abs(level) < 32 else 0.35 * level
        frames |= {
            f'{side}_upper_arm': upper,
            f'{side}_forearm': forearm,
            f'{side}_hand': forearm.turned(rot_x(-8), 0, -lengths['forearm']),
            f'{side}_thigh': thigh,
            f'{side}_shin': shin,
            f'{side}_foot': shin.turned(
                rot_y(sign * 8) @ rot_x(foot_lift - leg.toes), 0, -lengths['shin']
            ),
        }
    return frames


def _joints(build: Build, frames: dict[str, Frame], lengths: dict[str, float]) -> Array:
    head, size = frames['head'], build.head * build.unit
    joints = {'nose': head.at(0, -0.012 * size, 0.105 * size)}
    for side, sign in SIDES:
        joints |= {
            f'{side}_eye': head.at(sign * 0.034 * size, 0.02 * size, 0.08 * size),
            f'{side}_ear': head.at(sign * 0.08 * size, 0.0, -0.008 * size),
            f'{side}_shoulder': frames[f'{side}_upper_arm'].origin,
            f'{side}_elbow': frames[f'{side}_forearm'].origin,
            f'{side}_wrist': frames[f'{side}_hand'].origin,
            f'{side}_hip': frames[f'{side}_thigh'].origin,
            f'{side}_knee': frames[f'{side}_shin'].origin,
            f'{side}_ankle': frames[f'{side}_foot'].origin,
        }
    return np.stack([joints[name] for name in KEYPOINTS])
