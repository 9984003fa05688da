// What a power cut leaves, for tests: preloaded into the server, it keeps for every file the bytes of its last fsync, and for every
// folder the names of its last fsync, below $POWER_SHADOW. Whatever was written since then is what the cut takes.
//
// This is the least that POSIX promises: a file that was synced is still lost if the folder that names it was not, a rename counts
// only once its folder is synced, and sync_file_range, O_DSYNC and mmap promise nothing. It does not model torn sectors, a disk that
// lies about its cache, or the loss of what was synced. The bytes are taken before the real call, so nothing that was written while
// it ran is counted.
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER;

// What a file is called here: numbers of inodes are used again, so its birth belongs to it.
static int identity(int folder, const char *name, int flags, char *out, size_t size, struct statx *st) {
    if (statx(folder, name, flags, STATX_TYPE | STATX_INO | STATX_SIZE | STATX_BTIME, st) != 0) return -1;
    snprintf(out, size, "%llu.%lld.%u", (unsigned long long)st->stx_ino, (long long)st->stx_btime.tv_sec,
             st->stx_btime.tv_nsec);
    return 0;
}

// The bytes from `from` to `to`, holes left out.
static int copy(int from, int to, off_t size) {
    static char buffer[1 << 16];
    if (ftruncate(to, 0) != 0 || ftruncate(to, size) != 0) return -1;
    for (off_t at = lseek(from, 0, SEEK_DATA); at >= 0 && at < size;) {
        off_t end = lseek(from, at, SEEK_HOLE);
        while (at < end) {
            size_t part = (size_t)(end - at) < sizeof buffer ? (size_t)(end - at) : sizeof buffer;
            ssize_t got = pread(from, buffer, part, at);
            if (got <= 0) return -1;
            if (pwrite(to, buffer, got, at) != got) return -1;
            at += got;
        }
        at = lseek(from, at, SEEK_DATA);
    }
    return 0;
}

static int list(const char *path, int to) {
    DIR *folder = opendir(path);
    if (!folder) return -1;
    for (struct dirent *entry; (entry = readdir(folder));) {
        char id[64];
        struct statx st;
        if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..")) continue;
        // Gone since it was listed.
        if (identity(dirfd(folder), entry->d_name, AT_SYMLINK_NOFOLLOW, id, sizeof id, &st) != 0) continue;
        dprintf(to, "%c %s %s\n", S_ISDIR(st.stx_mode) ? 'd' : 'f', id, entry->d_name);
    }
    closedir(folder);
    return 0;
}

static void keep(int fd) {
    const char *root = getenv("POWER_ROOT"), *shadow = getenv("POWER_SHADOW");
    char link[64], path[PATH_MAX], id[64], kept[PATH_MAX], half[PATH_MAX];
    struct statx st;
    if (!root || !shadow) return;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length <= 0) return;
    path[length] = 0;
    if (strncmp(path, root, strlen(root)) != 0) return;
    if (identity(fd, "", AT_EMPTY_PATH, id, sizeof id, &st) != 0) abort();
    snprintf(kept, sizeof kept, "%s/%s", shadow, id);
    snprintf(half, sizeof half, "%s/half", shadow);
    int from = open(link, O_RDONLY), to = open(half, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (from < 0 || to < 0) abort();
    if ((S_ISDIR(st.stx_mode) ? list(path, to) : copy(from, to, st.stx_size)) != 0) abort();
    close(from);
    close(to);
    if (rename(half, kept) != 0) abort();
}

static int synced(int fd, const char *name) {
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
    pthread_mutex_lock(&one_at_a_time);
    keep(fd);
    int done = real(fd);
    pthread_mutex_unlock(&one_at_a_time);
    return done;
}

int fsync(int fd) { return synced(fd, "fsync"); }
int fdatasync(int fd) { return synced(fd, "fdatasync"); }
