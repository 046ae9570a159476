/* A library to preload. It makes system calls fail, to simulate a file system that does not support them.
 *
 * The variable FILE_SYSTEM_REFUSES names the calls and their error numbers, for example "flock=37,truncate=95". Calls on
 * tmpfs files (the spool) are not affected. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <sys/vfs.h>

#define TMPFS 0x01021994

static int refused(const char *call, int fd)
{
    const char *at = getenv("FILE_SYSTEM_REFUSES");
    size_t length = strlen(call);
    struct statfs stat;
    if (fd >= 0 && fstatfs(fd, &stat) == 0 && stat.f_type == TMPFS)
        return 0;
    for (; at && *at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL)
        if (strncmp(at, call, length) == 0 && at[length] == '=') {
            errno = atoi(at + length + 1);
            return 1;
        }
    return 0;
}

int flock(int fd, int operation)
{
    int (*real)(int, int) = dlsym(RTLD_NEXT, "flock");
    return refused("flock", fd) ? -1 : real(fd, operation);
}

int ftruncate64(int fd, off64_t length)
{
    int (*real)(int, off64_t) = dlsym(RTLD_NEXT, "ftruncate64");
    return refused("truncate", fd) ? -1 : real(fd, length);
}

int ftruncate(int fd, off_t length)
{
    return ftruncate64(fd, length);
}

int linkat(int from, const char *name, int to, const char *other, int flags)
{
    int (*real)(int, const char *, int, const char *, int) = dlsym(RTLD_NEXT, "linkat");
    return refused("link", from) ? -1 : real(from, name, to, other, flags);
}

int link(const char *name, const char *other)
{
    int (*real)(const char *, const char *) = dlsym(RTLD_NEXT, "link");
    return refused("link", -1) ? -1 : real(name, other);
}

int renameat2(int from, const char *name, int to, const char *other, unsigned int flags)
{
    int (*real)(int, const char *, int, const char *, unsigned int) = dlsym(RTLD_NEXT, "renameat2");
    return flags && refused("rename2", from) ? -1 : real(from, name, to, other, flags);
}
