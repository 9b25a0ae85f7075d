/// Damage in JPEG files, which libjpeg fills with grey. Computes the same as damage_in_segments and
/// decode in senet_kp/face/jpeg.py, which describes the format. It needs no OpenCV.
#pragma once

#include <sstream>
#include <string>

namespace senet_kp {

/// Returns the first byte of the next marker after `at`, leaving `at` behind the marker, or -1 at
/// the end of the data. 0xFF followed by 0x00 or by a restart marker belongs to the coded pixels.
inline int next_marker(const std::string& data, std::size_t& at) {
    while ((at = data.find('\xff', at)) != std::string::npos) {
        at = data.find_first_not_of('\xff', at);
        if (at == std::string::npos) break;
        const int marker = static_cast<unsigned char>(data[at++]);
        if (marker != 0x00 && (marker < 0xd0 || marker > 0xd7)) return marker;
    }
    return -1;
}

/// Returns what is wrong with the segments of a JPEG file; an empty text if nothing is, or if the
/// data are not those of a JPEG file. What follows the end marker is not part of the picture.
inline std::string jpeg_damage(const std::string& data) {
    if (data.rfind("\xff\xd8", 0) != 0) return "";
    std::size_t at = 2;
    int frames = 0;
    for (int marker; (marker = next_marker(data, at)) >= 0;) {
        if (marker == 0xd9) return "";
        if (marker == 0x01) continue;
        if (data.size() < at + 2) break;
        const bool table = marker == 0xc4 || marker == 0xcc;
        const bool frame = marker >= 0xc0 && marker <= 0xcf && marker != 0xc8 && !table;
        const bool known = frame || table || (marker >= 0xda && marker <= 0xdd) ||
                           (marker >= 0xe0 && marker <= 0xef) || marker == 0xfe;
        const std::size_t length = static_cast<unsigned char>(data[at]) * 256u +
                                   static_cast<unsigned char>(data[at + 1]);
        frames += frame;
        if (!known || frames > 1 || length < 2) return "a damaged JPEG; download the file again";
        at += length;
    }
    return "a truncated JPEG: its end is missing; download the file again";
}

/// Returns what is wrong with the coded pixels of a JPEG file by what libjpeg `printed` while it
/// decoded them; an empty text if nothing is. Bytes left over before the end marker are ignored,
/// because some cameras write them.
inline std::string jpeg_warning(const std::string& printed) {
    const std::string warning = "Corrupt JPEG data: ", left_over = "before marker 0xd9";
    std::istringstream lines(printed);
    for (std::string line; std::getline(lines, line);) {
        const bool harmless = line.size() >= left_over.size() &&
                              line.compare(line.size() - left_over.size(), std::string::npos,
                                           left_over) == 0;
        if (line.rfind(warning, 0) == 0 && !harmless) {
            return "a damaged JPEG (" + line.substr(warning.size()) + "); download the file again";
        }
    }
    return "";
}

}  // namespace senet_kp
