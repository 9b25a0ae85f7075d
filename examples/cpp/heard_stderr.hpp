/// What a piece of code prints to standard error, the only place where libjpeg reports damage
/// within the coded pixels of a picture. POSIX only; on other systems nothing is heard.
#pragma once

#include <string>

#if defined(__unix__) || defined(__APPLE__)
#include <unistd.h>

#include <cstdio>
#endif

namespace senet_kp {

/// Calls `work` and returns what was printed to standard error meanwhile.
template <typename Work>
std::string heard_stderr(const Work& work) {
#if defined(__unix__) || defined(__APPLE__)
    std::FILE* const file = std::tmpfile();
    const int before = file == nullptr ? -1 : dup(STDERR_FILENO);
    if (before < 0) {  // no place for a file, or a process without standard error
        if (file != nullptr) std::fclose(file);
        work();
        return "";
    }
    std::fflush(stderr);
    dup2(fileno(file), STDERR_FILENO);
    work();
    std::fflush(stderr);
    dup2(before, STDERR_FILENO);
    close(before);
    std::string heard;
    std::rewind(file);
    for (int c; (c = std::getc(file)) != EOF;) heard += static_cast<char>(c);
    std::fclose(file);
    return heard;
#else
    work();
    return "";
#endif
}

}  // namespace senet_kp
