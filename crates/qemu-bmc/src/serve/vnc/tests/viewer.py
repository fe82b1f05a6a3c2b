"""A vncdotool client that is told what to do, a line at a time, and answers each with a line.

  capture [FILE]  WIDTHxHEIGHT R,G,B R,G,B FINGERPRINT: size, the two most common colours, digest
  key NAME        ok
"""

import argparse
import hashlib
import sys

from vncdotool import api, client, rfb

FORMATS = {
    "rgb32": (rfb.PixelFormat(32, 24, False, True, 255, 255, 255, 16, 8, 0), "BGRX"),
    "bgr32": (rfb.PixelFormat(32, 24, False, True, 255, 255, 255, 0, 8, 16), "RGBX"),
    "rgb32be": (rfb.PixelFormat(32, 24, True, True, 255, 255, 255, 16, 8, 0), "XRGB"),
    "rgb565": (rfb.PixelFormat(16, 16, False, True, 31, 63, 31, 11, 5, 0), "BGR;16"),
}
ENCODINGS = {"raw": rfb.Encoding.RAW, "hextile": rfb.Encoding.HEXTILE}

options = argparse.ArgumentParser()
options.add_argument("server")
options.add_argument("--password")
options.add_argument("--format", choices=FORMATS)
options.add_argument("--encoding", choices=ENCODINGS, default="raw")
options = options.parse_args()


class Client(client.VNCDoToolClient):
    encoding = ENCODINGS[options.encoding]

    def setImageMode(self):
        super().setImageMode()
        if options.format:
            pixel_format, self._image_mode = FORMATS[options.format]
            self.setPixelFormat(pixel_format)


class Factory(client.VNCDoToolFactory):
    protocol = Client


def capture(viewer, file=None):
    viewer.refreshScreen()
    screen = viewer.screen
    if file:
        screen.save(file)
    colours = sorted(screen.getcolors(screen.width * screen.height), reverse=True)[:2]
    colours = " ".join(",".join(map(str, colour)) for _, colour in colours)
    return f"{screen.width}x{screen.height} {colours} {hashlib.sha256(screen.tobytes()).hexdigest()}"


def key(viewer, name):
    viewer.keyPress(name)
    return "ok"


viewer = api.connect(options.server, password=options.password, factory_class=Factory, timeout=30)
for line in sys.stdin:
    command, *arguments = line.split()
    try:
        print({"capture": capture, "key": key}[command](viewer, *arguments), flush=True)
    except Exception as error:
        print(f"{type(error).__name__}: {error}", flush=True)
