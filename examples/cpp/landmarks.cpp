/// Predicts landmarks from pictures and face boxes. Writes one JSON object per picture to standard
/// output, in the format of `senet-kp demo --json`.

#include <iomanip>
#include <iostream>
#include <map>
#include <sstream>

#include <opencv2/core/utils/logger.hpp>
#include <opencv2/imgcodecs.hpp>

#include "heard_stderr.hpp"
#include "jpeg.hpp"
#include "landmark_model.hpp"

namespace {

using namespace senet_kp;
using Boxes = std::vector<cv::Rect2d>;

constexpr const char* kUsage =
    "usage: landmarks --model senet.pb (--boxes boxes.json | --box x y w h) photo.jpg ...\n"
    "\n"
    "  --model FILE     frozen graph, with its model card in the same folder\n"
    "  --boxes FILE     {\"photo.jpg\": [[x, y, w, h], ...]}: face boxes by the model card's rule\n"
    "  --box x y w h    one face box, used for every picture\n"
    "\n"
    "Exit codes: 0 done, 2 unusable arguments, 3 an input could not be read, 4 the model could\n"
    "not be used, 6 the result could not be written.\n";

struct Arguments {
    std::string model, boxes;
    Boxes box;
    std::vector<std::string> pictures;
};

bool is_square(const cv::Rect2d& box) {
    return std::isfinite(box.x) && std::isfinite(box.y) && std::isfinite(box.width) &&
           box.width > 0 && std::abs(box.width - box.height) <= 1e-3 * box.width;
}

/// Parses four numbers of the command line, separated by spaces, as a box.
cv::Rect2d parse_box(const std::string& words) {
    std::istringstream stream(words);
    cv::Rect2d box;
    std::string rest;
    if (!(stream >> box.x >> box.y >> box.width >> box.height) || stream >> rest ||
        !is_square(box)) {
        throw Failure(Exit::arguments, "--box" + words + ": give a square x y w h with w = h > 0");
    }
    return box;
}

Arguments parse_arguments(const std::vector<std::string>& words) {
    Arguments found;
    std::size_t i = 0;
    const auto next = [&](const std::string& flag) {
        if (++i >= words.size()) throw Failure(Exit::arguments, flag + ": a value is missing");
        return words[i];
    };
    for (; i < words.size(); ++i) {
        const std::string word = words[i];
        if (word == "--model") {
            found.model = next(word);
        } else if (word == "--boxes") {
            found.boxes = next(word);
        } else if (word == "--box") {
            std::string numbers;
            for (int n = 0; n < 4; ++n) numbers += " " + next(word);
            found.box.push_back(parse_box(numbers));
        } else if (word.rfind("--", 0) == 0) {
            throw Failure(Exit::arguments, word + ": no such flag; --help lists them");
        } else {
            found.pictures.push_back(word);
        }
    }
    if (found.model.empty()) throw Failure(Exit::arguments, "--model senet.pb is missing");
    if (found.pictures.empty()) throw Failure(Exit::arguments, "no picture is given");
    if (found.boxes.empty() == found.box.empty()) {
        throw Failure(Exit::arguments,
                      "give either --boxes or --box, because this program does not detect faces");
    }
    return found;
}

/// Reads a square [x, y, w, h] from JSON; throws a Failure for anything else.
cv::Rect2d box_of(const cv::FileNode& node, const std::string& path, const std::string& name) {
    std::vector<double> values;
    for (const cv::FileNode& value : node) {
        if (value.isInt() || value.isReal()) values.push_back(static_cast<double>(value));
    }
    if (node.isSeq() && node.size() == 4 && values.size() == 4) {
        const cv::Rect2d box(values[0], values[1], values[2], values[3]);
        if (is_square(box)) return box;
    }
    throw Failure(Exit::arguments, "--boxes " + path + ": " + name +
                                       " needs a list of squares [x, y, w, h], w = h > 0");
}

/// Reads the face boxes of each picture from a JSON file.
std::map<std::string, Boxes> read_boxes(const std::string& path) {
    std::map<std::string, Boxes> found;
    const cv::FileStorage file = read_json(path, Exit::arguments);
    for (const cv::FileNode& picture : file.root()) {
        const std::string name = picture.name();
        if (name.find("\\u") != std::string::npos) {
            throw Failure(Exit::arguments, "--boxes " + path + ": " + name +
                                               " has an escape sequence; write names in UTF-8");
        }
        if (!picture.isSeq()) box_of(picture, path, name);
        for (const cv::FileNode& box : picture) found[name].push_back(box_of(box, path, name));
    }
    return found;
}

/// Reads a picture file as 8-bit RGB, rotated by its EXIF orientation.
cv::Mat read_picture(const std::string& path) {
    const std::string data = read_bytes(path, Exit::input);
    if (data.empty()) throw Failure(Exit::input, path + ": the file is empty");
    if (const std::string damage = jpeg_damage(data); !damage.empty()) {
        throw Failure(Exit::input, path + ": " + damage);
    }
    cv::Mat picture;
    const std::string printed = heard_stderr([&] {
        try {
            picture = cv::imdecode(std::vector<uchar>(data.begin(), data.end()), cv::IMREAD_COLOR);
        } catch (const cv::Exception&) {
        }
    });
    if (picture.empty()) {
        throw Failure(Exit::input, path + ": OpenCV cannot decode this file as a picture");
    }
    if (const std::string damage = jpeg_warning(printed); !damage.empty()) {
        throw Failure(Exit::input, path + ": " + damage);
    }
    cv::cvtColor(picture, picture, cv::COLOR_BGR2RGB);
    return picture;
}

std::string quoted(const std::string& text) {
    std::ostringstream out;
    out << '"' << std::hex << std::setfill('0');
    for (const char c : text) {
        if (c == '"' || c == '\\') {
            out << '\\' << c;
        } else if (static_cast<unsigned char>(c) < 0x20) {
            out << "\\u" << std::setw(4) << static_cast<int>(c);
        } else {
            out << c;
        }
    }
    out << '"';
    return out.str();
}

/// Formats numbers as a JSON list, rounded to 0.001.
std::string list_of(std::initializer_list<double> values) {
    std::ostringstream out;
    out << std::setprecision(12);
    for (const double value : values) {
        out << (out.tellp() ? ", " : "[") << std::nearbyint(value * 1000) / 1000;
    }
    return out.str() + "]";
}

/// Returns the boxes that have something of the picture in them; reports the others.
Boxes boxes_within(const cv::Mat& picture, const Boxes& boxes, const std::string& path) {
    Boxes within;
    for (const cv::Rect2d& box : boxes) {
        if (!is_beside(box, picture)) {
            within.push_back(box);
            continue;
        }
        std::cerr << path << ": the box " << list_of({box.x, box.y, box.width, box.height})
                  << " lies outside the picture of " << picture.cols << "x" << picture.rows
                  << " px and gets no landmarks; were the boxes made for another size of it?\n";
    }
    return within;
}

/// Predicts the faces of one picture; returns one line of JSON with coordinates in pixels.
std::string describe(const std::string& path, const Boxes& given, LandmarkModel& model) {
    const cv::Mat picture = read_picture(path);
    const Boxes boxes = boxes_within(picture, given, path);
    std::ostringstream out;
    out << "{\"source\": " << quoted(path) << ", \"frame\": null, \"width\": " << picture.cols
        << ", \"height\": " << picture.rows << ", \"faces\": [";
    for (const cv::Rect2d& box : boxes) {
        out << (&box == &boxes.front() ? "" : ", ") << "{\"box\": "
            << list_of({box.x, box.y, box.width, box.height})
            << ", \"score\": null, \"landmarks\": [";
        const char* separator = "";
        for (const cv::Point2d& point : model.landmarks(picture, box)) {
            out << separator << list_of({point.x, point.y});
            separator = ", ";
        }
        out << "]}";
    }
    return out.str() + "]}\n";
}

/// Finds the boxes of a picture by its path, or else by its file name; warns if there are none.
Boxes boxes_for(const std::string& path, const std::map<std::string, Boxes>& boxes) {
    const std::string name = std::filesystem::path(path).filename().string();
    const auto found = boxes.count(path) ? boxes.find(path) : boxes.find(name);
    if (found != boxes.end() && !found->second.empty()) return found->second;
    std::cerr << path << ": no box for it in the boxes file\n";
    return {};
}

int complain(const Failure& failure) {
    std::cerr << "error: " << failure.what() << "\n";
    return static_cast<int>(failure.code);
}

int run(const Arguments& arguments) {
    std::map<std::string, Boxes> boxes;
    if (!arguments.boxes.empty()) boxes = read_boxes(arguments.boxes);
    LandmarkModel model(arguments.model);
    int code = static_cast<int>(Exit::done);
    for (const std::string& path : arguments.pictures) {
        try {
            const Boxes& given = arguments.boxes.empty() ? arguments.box : boxes_for(path, boxes);
            std::cout << describe(path, given, model) << std::flush;
        } catch (const Failure& failure) {
            code = complain(failure);
        }
    }
    if (!std::cout) throw Failure(Exit::output, "standard output cannot be written");
    return code;
}

}  // namespace

int main(int count, char** words) {
    cv::utils::logging::setLogLevel(cv::utils::logging::LOG_LEVEL_SILENT);
    try {
        const std::vector<std::string> given(words + 1, words + count);
        if (std::find(given.begin(), given.end(), "--help") != given.end()) {
            std::cout << kUsage;
            return 0;
        }
        return run(parse_arguments(given));
    } catch (const Failure& failure) {
        return complain(failure);
    }
}
