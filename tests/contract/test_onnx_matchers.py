"""An ONNX network as an invader's target model, from the folder of checkpoints to its answers; and before a protector."""

import logging
from functools import partial
from pathlib import Path

import pytest
from deid.invader.v1 import invader_pb2, invader_pb2_grpc

from invader_service.config import InvaderSettings
from invader_service.serve import load_target_models
from protector_service.config import ProtectorSettings
from protector_service.serve import load_source_models
from recognizers.device import PreparedDevice
from recognizers.errors import CheckpointError
from recognizers.extraction import EXTRACTION_RULE, Extraction, extract_face
from rpc.images.decoding import encode_png
from tests.support.galleries import photo_of, write_people
from tests.support.onnx_files import needs_onnx, write_onnx
from tests.support.services import CentreDetector, serving_invader
