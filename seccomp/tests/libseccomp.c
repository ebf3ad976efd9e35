/* Does with libseccomp what runc does, for tests/differential.rs; commands on standard input:
 *   resolve ARCH NR                      prints the name, or "-"
 *   init ACTION | arch ARCH | remove ARCH | optimize N
 *   rule ACTION NAME [INDEX OP A B]...
 *   export                               prints "export BYTES", then the program
 * Every other command prints 0 or an errno, negative. */
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static scmp_filter_ctx ctx;

static int rule(char *rest)
{
	char *action = strtok(rest, " \n"), *name = strtok(NULL, " \n"), *index;
	struct scmp_arg_cmp args[6];
	unsigned count = 0;
	int nr = seccomp_syscall_resolve_name(name);

	if (nr == __NR_SCMP_ERROR)
		return 0;
	while ((index = strtok(NULL, " \n")) && count < 6) {
		args[count].arg = atoi(index);
		args[count].op = atoi(strtok(NULL, " \n"));
		args[count].datum_a = strtoull(strtok(NULL, " \n"), NULL, 10);
		args[count].datum_b = strtoull(strtok(NULL, " \n"), NULL, 10);
		count++;
	}
	return seccomp_rule_add_array(ctx, strtoul(action, NULL, 10), nr, count, args);
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

int main(void)
{
	static char line[1 << 16];

	while (fgets(line, sizeof(line), stdin)) {
		char word[16];
		int at = 0, rc = -1;
		unsigned long arg;

		sscanf(line, "%15s %n", word, &at);
		arg = strtoul(line + at, NULL, 10);
		if (!strcmp(word, "resolve")) {
			char *end;
			uint32_t arch = strtoul(line + at, &end, 10);
			char *name = seccomp_syscall_resolve_num_arch(arch, atoi(end));
			puts(name ? name : "-");
			free(name);
			fflush(stdout);
			continue;
		}
		if (!strcmp(word, "init")) {
			if (ctx)
				seccomp_release(ctx);
			ctx = seccomp_init(arg);
			rc = ctx ? 0 : -1;
		} else if (!strcmp(word, "arch"))
			rc = seccomp_arch_add(ctx, arg);
		else if (!strcmp(word, "remove"))
			rc = seccomp_arch_remove(ctx, arg);
		else if (!strcmp(word, "optimize"))
			rc = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, arg);
		else if (!strcmp(word, "rule"))
			rc = rule(line + at);
		else if (!strcmp(word, "export") && (rc = export()) == 1)
			continue;
		printf("%d\n", rc);
		fflush(stdout);
	}
	return 0;
}
