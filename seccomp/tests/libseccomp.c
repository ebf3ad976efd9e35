/* Does with libseccomp what runc does, for tests/it/oracle.rs; commands on standard input:
 *   resolve ARCH NR                      prints the name, or "-"
 *   knows NAME                           prints 1 or 0
 *   init ACTION | arch ARCH | remove ARCH | optimize N
 *   rule ACTION NAME [INDEX OP A B]...
 *   export                               prints "export BYTES", then the program
 *   time N                               prints the median and the least nanoseconds of N times all since
 *                                        "init", and "export"
 * Every other command prints 0 or an errno, negative. */
#define _GNU_SOURCE
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static scmp_filter_ctx ctx;

/* What was asked since "init", parsed: to be done again and timed. */
static struct step {
	char word, name[64];
	unsigned long arg;
	unsigned count;
	struct scmp_arg_cmp args[6];
} steps[8192];
static unsigned length;

static int take(const struct step *s)
{
	int nr;

	switch (s->word) {
	case 'i':
		if (ctx)
			seccomp_release(ctx);
		ctx = seccomp_init(s->arg);
		return ctx ? 0 : -1;
	case 'a':
		return seccomp_arch_add(ctx, s->arg);
	case 'd':
		return seccomp_arch_remove(ctx, s->arg);
	case 'o':
		return seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, s->arg);
	default:
		nr = seccomp_syscall_resolve_name(s->name);
		if (nr == __NR_SCMP_ERROR)
			return 0;
		return seccomp_rule_add_array(ctx, s->arg, nr, s->count, s->args);
	}
}

static void rule(struct step *s, char *rest)
{
	char *index;

	s->arg = strtoul(strtok(rest, " \n"), NULL, 10);
	strncpy(s->name, strtok(NULL, " \n"), sizeof(s->name) - 1);
	while ((index = strtok(NULL, " \n")) && s->count < 6) {
		struct scmp_arg_cmp *arg = &s->args[s->count++];

		arg->arg = atoi(index);
		arg->op = atoi(strtok(NULL, " \n"));
		arg->datum_a = strtoull(strtok(NULL, " \n"), NULL, 10);
		arg->datum_b = strtoull(strtok(NULL, " \n"), NULL, 10);
	}
}

static int export(void)
{
	int fd = memfd_create("filter", 0), rc = seccomp_export_bpf(ctx, fd);
	struct stat st;
	char *code;

	if (rc < 0)
		return rc;
	fstat(fd, &st);
	code = mmap(NULL, st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	printf("export %ld\n", (long)st.st_size);
	fwrite(code, 1, st.st_size, stdout);
	fflush(stdout);
	munmap(code, st.st_size);
	close(fd);
	return 1;
}

static int by_size(const void *a, const void *b)
{
	long x = *(const long *)a, y = *(const long *)b;

	return (x > y) - (x < y);
}

static void timed(unsigned rounds)
{
	long *took = calloc(rounds, sizeof(*took));
	int fd = memfd_create("filter", 0);

	for (unsigned round = 0; round < rounds; round++) {
		struct timespec a, b;

		clock_gettime(CLOCK_MONOTONIC, &a);
		for (unsigned at = 0; at < length; at++)
			take(&steps[at]);
		lseek(fd, 0, SEEK_SET);
		seccomp_export_bpf(ctx, fd);
		clock_gettime(CLOCK_MONOTONIC, &b);
		took[round] = (b.tv_sec - a.tv_sec) * 1000000000 + b.tv_nsec - a.tv_nsec;
	}
	close(fd);
	qsort(took, rounds, sizeof(*took), by_size);
	printf("%ld %ld\n", took[rounds / 2], took[0]);
	free(took);
}

/* A command that changes the filter. */
static int change(const char *word, char *rest)
{
	struct step *s = &steps[length];
	const char *words = "init arch remove optimize rule", *letters = "i    a    d      o        r";
	const char *at = strstr(words, word);

	if (!at)
		return -1;
	if (at == words)
		s = &steps[length = 0];
	if (length == sizeof(steps) / sizeof(*steps))
		return -12;
	memset(s, 0, sizeof(*s));
	s->word = letters[at - words];
	if (s->word == 'r')
		rule(s, rest);
	else
		s->arg = strtoul(rest, NULL, 10);
	length++;
	return take(s);
}

int main(void)
{
	static char line[1 << 16];

	while (fgets(line, sizeof(line), stdin)) {
		char word[16], *rest;
		int at = 0;

		sscanf(line, "%15s %n", word, &at);
		rest = line + at;
		if (!strcmp(word, "resolve")) {
			uint32_t arch = strtoul(rest, &rest, 10);
			char *name = seccomp_syscall_resolve_num_arch(arch, atoi(rest));
			puts(name ? name : "-");
			free(name);
		} else if (!strcmp(word, "knows")) {
			strtok(rest, " \n");
			printf("%d\n", seccomp_syscall_resolve_name(rest) != __NR_SCMP_ERROR);
		} else if (!strcmp(word, "time")) {
			timed(atoi(rest));
		} else if (strcmp(word, "export") || export() != 1) {
			printf("%d\n", change(word, rest));
		}
		fflush(stdout);
	}
	return 0;
}
