/* Makes one system call and prints how it ended: call NAME|NUMBER [ARGUMENT]...
 * A number with "32:" before it is one of i386, made by its interrupt. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static const struct {
	const char *name;
	long nr;
} known[] = {
	{ "getpid", SYS_getpid },
	{ "keyctl", SYS_keyctl },
	{ "personality", SYS_personality },
	{ "unshare", SYS_unshare },
};

static long number(const char *word)
{
	for (unsigned at = 0; at < sizeof(known) / sizeof(*known); at++)
		if (!strcmp(known[at].name, word))
			return known[at].nr;
	return atol(word);
}

static long of_i386(long nr, const long *args)
{
#ifdef __x86_64__
	long result;

	__asm__ volatile("int $0x80"
			 : "=a"(result)
			 : "a"(nr), "b"(args[0]), "c"(args[1]), "d"(args[2]), "S"(args[3]), "D"(args[4])
			 : "memory", "r8", "r9", "r10", "r11");
	result = (int)result;
	if (result < 0 && result > -4096) {
		errno = -result;
		return -1;
	}
	return result;
#else
	(void)nr, (void)args;
	errno = EXFULL;
	return -1;
#endif
}

int main(int argc, char **argv)
{
	long args[6] = { 0 }, result;

	if (argc < 2)
		return 2;
	for (int at = 2; at < argc && at < 8; at++)
		args[at - 2] = strtol(argv[at], NULL, 0);
	if (!strncmp(argv[1], "32:", 3))
		result = of_i386(atol(argv[1] + 3), args);
	else
		result = syscall(number(argv[1]), args[0], args[1], args[2], args[3], args[4], args[5]);
	puts(result == -1 ? strerrorname_np(errno) : "ok");
	return 0;
}
