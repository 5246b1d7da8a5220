import base64
import zlib

import numpy as np
import pytest
import vtk
from harness.orientations import ORDERS, add_volume, turn
from harness.scene_files import nodes

from MedSAGaSlicerLib.errors import InputError
from MedSAGaSlicerLib.scene.packed import PackedMask
from MedSAGaSlicerLib.scene.prompt_groups import Prompt, groups_of
from MedSAGaSlicerLib.scene.prompt_markups import box_of
from MedSAGaSlicerLib.scene.prompts import PromptStore
from MedSAGaSlicerLib.scene.session import Session
from MedSAGaSlicerLib.scene.slices import SlicePosition
from MedSAGaSlicerLib.scene.volumes import grid_of

K5 = SlicePosition("k", 5)


@pytest.fixture
def store(volume, segmentation):
    store = PromptStore(Session.of(volume, segmentation), segmentation, lambda *_: None)
    yield store
    store.close()


def a_point(number, column=3, row=4, *, positive=True, position=K5, segment="tumour"):
    return Prompt(number, segment, position, positive, point=(column, row))


def a_box(number, *edges, positive=True, position=K5, segment="tumour"):
    return Prompt(number, segment, position, positive, box=edges)


@pytest.mark.parametrize("placement", ["straight", "oblique and transformed"])
def test_points_and_boxes_come_back_from_markups_in_every_orientation(
    scene, segmentation, placement
):
    generator = np.random.default_rng(4)
    for order, signs in ORDERS:
        volume = add_volume(scene, order, signs, placement)
        grid = grid_of(volume)
        session = Session.of(volume, segmentation)
        store = PromptStore(session, segmentation, lambda *_: None)
        put = {}
        for number, axis in enumerate("kji", start=1):
            position = SlicePosition(axis, int(generator.integers(1, 6)))
            sizes = [grid.shape_ijk[n] for n in position.in_plane]
            first, last = (np.sort(generator.integers(0, n, 2)) for n in sizes)
            box = (first[0], last[0], first[1], last[1])
            put[number] = a_box(number, *(float(x) for x in box), position=position)
            place = [round(float(generator.uniform(-0.4, n - 0.6)), 3) for n in sizes]
            put[number + 3] = a_point(number + 3, *place, positive=number != 2, position=position)
        for prompt in put.values():
            store.put(prompt, grid)
        # Another store, that has not seen them placed.
        seen = PromptStore(session, segmentation, lambda *_: None).read(grid)
        assert sorted(seen) == sorted(put)
        for number, prompt in put.items():
            got = seen[number]
            assert (got.position, got.positive) == (prompt.position, prompt.positive)
            assert got.coordinates == pytest.approx(prompt.coordinates, abs=1e-3)
        store.close()
        session.remove()
        scene.RemoveNode(volume)


def test_a_box_is_one_slice_thick_and_covers_its_voxels(store, volume, scene):
    store.put(a_box(1, 3, 4, 7, 6), grid_of(volume))
    (roi,) = nodes(scene, "vtkMRMLMarkupsROINode")
    assert roi.GetSize() == pytest.approx((5 * 1.0, 3 * 1.5, 1 * 3.0))
    centre = grid_of(volume).to_ijk(roi.GetCenterWorld())
    assert centre == pytest.approx((5, 5, 5))


def test_a_roi_that_was_stretched_turned_or_pushed_over_the_border_is_still_a_box(
    store, volume, scene
):
    grid = grid_of(volume)
    store.put(a_box(1, 3, 4, 7, 6), grid)
    (roi,) = nodes(scene, "vtkMRMLMarkupsROINode")
    roi.SetSize(6.4, 4.5, 3.0)
    assert store.read(grid)[1].box == pytest.approx((2.3, 4, 7.7, 6))
    roi.SetSize(0.2, 4.5, 3.0)
    assert store.read(grid)[1].box == pytest.approx((5, 4, 5, 6))
    roi.SetSize(5.0, 4.5, 3.0)
    roi.SetCenterWorld(*grid.to_ras((1, 18, 7)))
    moved = store.read(grid)[1]
    assert moved.position == SlicePosition("k", 7)
    assert moved.box == pytest.approx((0, 17, 3, 19))
    roi.SetCenterWorld(*grid.to_ras((-40, 18, 7)))
    assert store.read(grid) == {}
    roi.SetCenterWorld(*grid.to_ras((11, 10, 5)))
    matrix = vtk.vtkMatrix4x4()
    matrix.DeepCopy(roi.GetObjectToNodeMatrix())
    turned = vtk.vtkMatrix4x4()
    turned.DeepCopy(turn((0, 0, 1), 30).ravel().tolist())
    vtk.vtkMatrix4x4.Multiply4x4(matrix, turned, turned)
    roi.SetAndObserveObjectToNodeMatrix(turned)
    position, box = box_of(roi, grid, "k")
    assert position == K5
    assert box[2] - box[0] > 4
    assert box[3] - box[1] > 2


def test_points_that_are_being_placed_do_not_count_yet(store, volume, scene):
    grid = grid_of(volume)
    store.put(a_point(1), grid)
    (points,) = nodes(scene, "vtkMRMLMarkupsFiducialNode")
    points.AddControlPointWorld(vtk.vtkVector3d(*grid.to_ras((6, 6, 5))))
    points.SetNthControlPointPositionWorld(1, *grid.to_ras((6, 6, 5)))
    points.ResetNthControlPointPosition(1)
    assert sorted(store.read(grid)) == [1]


def test_a_copied_point_gets_a_number_of_its_own(store, volume, scene):
    grid = grid_of(volume)
    store.put(a_point(1, positive=False), grid)
    (points,) = nodes(scene, "vtkMRMLMarkupsFiducialNode")
    at = points.AddControlPointWorld(vtk.vtkVector3d(*grid.to_ras((6, 6, 5))))
    points.SetNthControlPointDescription(at, points.GetNthControlPointDescription(0))
    seen = store.read(grid)
    assert len(seen) == 2
    assert not any(prompt.positive for prompt in seen.values())
    assert store.read(grid) == seen
    assert store.next_number() > max(seen)


def test_deselecting_points_in_a_table_does_not_change_their_sign(store, volume, scene):
    grid = grid_of(volume)
    store.put(a_point(1), grid)
    store.put(a_point(2, 8, 8, positive=False), grid)
    (points,) = nodes(scene, "vtkMRMLMarkupsFiducialNode")
    for at in range(2):
        points.SetNthControlPointSelected(at, at == 1)
    assert [prompt.positive for prompt in store.read(grid).values()] == [True, False]
    assert [points.GetNthControlPointSelected(at) for at in range(2)] == [True, False]


def test_a_list_with_a_name_of_its_own_keeps_it(store, volume, segmentation, scene):
    grid = grid_of(volume)
    store.put(a_point(1), grid)
    store.put(a_point(2, segment="liver"), grid)
    lists = nodes(scene, "vtkMRMLMarkupsFiducialNode")
    lists[0].SetName("меченые / 1")
    for name in ("tumour", "liver"):
        segmentation.GetSegmentation().GetSegment(name).SetName(f"new {name}")
    store.read(grid)
    assert [node.GetName() for node in lists] == ["меченые / 1", "new liver points"]


def test_prompts_are_shown_in_slice_views_only(store, volume, scene):
    store.put(a_point(1), grid_of(volume))
    store.put(a_box(2, 3, 4, 7, 6), grid_of(volume))
    shown = [node.GetDisplayNode() for node in nodes(scene, "vtkMRMLMarkupsNode")]
    assert [(d.GetVisibility2D(), d.GetVisibility3D()) for d in shown] == [(1, 0), (1, 0)]


def test_the_last_prompt_of_a_list_takes_the_list_along(store, volume, scene):
    before = scene.GetNumberOfNodes()
    store.put(a_point(1), grid_of(volume))
    store.put(a_point(2), grid_of(volume))
    store.remove(1)
    assert len(nodes(scene, "vtkMRMLMarkupsFiducialNode")) == 1
    store.remove(2)
    store.remove(2)
    assert scene.GetNumberOfNodes() == before


def test_points_belong_to_the_box_they_lie_in_or_the_nearest():
    prompts = [
        a_box(1, 0, 0, 4, 4),
        a_box(2, 10, 0, 14, 4),
        a_point(3, 2, 2),
        a_point(4, 12, 1, positive=False),
        a_point(5, 8, 2),
    ]
    one, other = groups_of(prompts)
    assert one.prompts.points == ((2, 2),)
    assert other.prompts.points == ((12, 1), (8, 2))
    assert other.prompts.positive == (False, True)


def test_negative_boxes_and_only_negative_points_say_what_to_remove():
    (points,) = groups_of([a_point(1, positive=False)])
    assert not points.adds
    assert points.prompts.positive == (True,)
    (box,) = groups_of(
        [a_box(1, 0, 0, 4, 4, positive=False), a_point(2, 1, 1), a_point(3, 2, 2, positive=False)]
    )
    assert not box.adds
    assert box.prompts.positive == (False, True)
    assert groups_of([]) == ()


def test_no_groups_contradict_themselves():
    prompts = [a_point(1, 3, 4), a_point(2, 3.2, 4.1, positive=False), a_point(3, 8, 8)]
    for ordered in (prompts, prompts[::-1]):
        (group,) = groups_of(ordered)
        group.prompts.validate((20, 24))
        assert group.prompts.points == ((3.2, 4.1), (8, 8))


def test_packed_masks_come_back_whole_also_as_text():
    generator = np.random.default_rng(0)
    for rows, columns in [(1, 1), (1, 17), (8, 8), *generator.integers(1, 60, (40, 2)).tolist()]:
        mask = generator.random((rows, columns)) < 0.5
        packed = PackedMask.of(mask)
        assert np.array_equal(packed.unpack(), mask)
        assert PackedMask.from_text(packed.to_text()) == packed


@pytest.mark.parametrize(
    "text",
    ["", "20x24", "20x24:", "20x24:????", "axb:AAAA", "-1x-8:eJxjAAAAAQAB", "9x9:eJxjAAAAAQAB"],
)
def test_damaged_text_is_no_mask(text):
    with pytest.raises(InputError, match="no stored mask"):
        PackedMask.from_text(text)


def test_a_bomb_is_no_mask():
    body = base64.b64encode(zlib.compress(bytes(50_000_000))).decode()
    with pytest.raises(InputError, match="no stored mask"):
        PackedMask.from_text(f"20x24:{body}")
