/*
 * Node-API shim: converts arguments and results, nothing else. lib/native.ts documents the calls.
 *
 * A refusal of the system is a value (null, -1); only arguments of a wrong type throw.
 * A mapping is freed once: by unmap(), or by the garbage collector's finalizer when nobody called it.
 */
#define NAPI_VERSION 8
#include <node_api.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "rankzero.h"

#define PATH_BYTES 4096
#define TRY(call) \
  if ((call) != napi_ok) return fail(env)

static napi_value fail(napi_env env) {
  bool pending = false;
  napi_is_exception_pending(env, &pending);
  if (!pending) napi_throw_type_error(env, NULL, "rankzero: wrong argument");
  return NULL;
}

static napi_value null_value(napi_env env) {
  napi_value value;
  TRY(napi_get_null(env, &value));
  return value;
}

static napi_value number(napi_env env, double n) {
  napi_value value;
  TRY(napi_create_double(env, n, &value));
  return value;
}

/* Reads `count` arguments; missing ones are undefined. */
static napi_status arguments(napi_env env, napi_callback_info info, size_t count, napi_value *values) {
  return napi_get_cb_info(env, info, &count, values, NULL, NULL);
}

static napi_status path_of(napi_env env, napi_value value, char *path) {
  size_t length = 0;
  napi_status status = napi_get_value_string_utf8(env, value, NULL, 0, &length);
  if (status != napi_ok) return status;
  if (length >= PATH_BYTES) return napi_invalid_arg;
  return napi_get_value_string_utf8(env, value, path, PATH_BYTES, &length);
}

struct mapping {
  void *address; /* NULL once unmapped */
  size_t bytes;
  struct mappings *all;
  struct mapping *next;
};

/*
 * The mappings of one environment (main thread or worker). Its instance data and each mapping hold a
 * reference: at exit Node may finalize them in any order.
 */
struct mappings {
  struct mapping *first;
  size_t references;
};

static void drop_reference(struct mappings *all) {
  if (--all->references == 0) free(all);
}

static void release(struct mapping *mapping) {
  if (mapping->address != NULL) rz_unmap(mapping->address, mapping->bytes);
  mapping->address = NULL;
}

static void finalize_mapping(napi_env env, void *data, void *hint) {
  (void)env, (void)data;
  struct mapping *mapping = hint;
  struct mapping **at = &mapping->all->first;
  while (*at != mapping) at = &(*at)->next;
  *at = mapping->next;
  drop_reference(mapping->all);
  release(mapping);
  free(mapping);
}

static napi_value map_create(napi_env env, napi_callback_info info) {
  napi_value args[2], buffer;
  char path[PATH_BYTES];
  int64_t bytes = 0;
  struct mappings *all = NULL;
  TRY(arguments(env, info, 2, args));
  TRY(path_of(env, args[0], path));
  TRY(napi_get_value_int64(env, args[1], &bytes));
  TRY(napi_get_instance_data(env, (void **)&all));
  if (bytes <= 0 || all == NULL) return null_value(env);
  struct mapping *mapping = calloc(1, sizeof *mapping);
  if (mapping == NULL) return null_value(env);
  mapping->bytes = (size_t)bytes;
  if (rz_map_create(path, mapping->bytes, &mapping->address) != 0) {
    free(mapping);
    return null_value(env);
  }
  napi_status status = napi_create_external_arraybuffer(
      env, mapping->address, mapping->bytes, finalize_mapping, mapping, &buffer);
  if (status != napi_ok) {
    /* Some builds of V8 forbid foreign memory. */
    unlink(path);
    release(mapping);
    free(mapping);
    return null_value(env);
  }
  mapping->all = all;
  mapping->next = all->first;
  all->references++;
  all->first = mapping;
  return buffer;
}

static napi_value unmap(napi_env env, napi_callback_info info) {
  napi_value args[1], undefined;
  void *address = NULL;
  size_t bytes = 0;
  struct mappings *all = NULL;
  TRY(arguments(env, info, 1, args));
  TRY(napi_get_arraybuffer_info(env, args[0], &address, &bytes));
  TRY(napi_get_instance_data(env, (void **)&all));
  TRY(napi_get_undefined(env, &undefined));
  for (struct mapping *at = all->first; at != NULL && address != NULL; at = at->next) {
    if (at->address != address) continue;
    /* Detached first: no view of it reaches memory that is about to go. */
    TRY(napi_detach_arraybuffer(env, args[0]));
    release(at);
    break;
  }
  return undefined;
}

static napi_value lock_file(napi_env env, napi_callback_info info) {
  napi_value args[1];
  char path[PATH_BYTES];
  TRY(arguments(env, info, 1, args));
  TRY(path_of(env, args[0], path));
  int fd = rz_lock_file(path);
  return fd < 0 ? null_value(env) : number(env, fd);
}

static napi_value lock_holder(napi_env env, napi_callback_info info) {
  napi_value args[1];
  char path[PATH_BYTES];
  TRY(arguments(env, info, 1, args));
  TRY(path_of(env, args[0], path));
  int holder = rz_lock_holder(path);
  if (holder == RZ_HOLDER_HIDDEN) return number(env, -2);
  return number(env, holder < 0 ? -1 : holder);
}

static napi_value pidfd_open_(napi_env env, napi_callback_info info) {
  napi_value args[1];
  int32_t pid = 0;
  TRY(arguments(env, info, 1, args));
  TRY(napi_get_value_int32(env, args[0], &pid));
  int fd = rz_pidfd_open(pid);
  return number(env, fd < 0 ? -1 : fd);
}

static const struct { int number; const char *name; } SIGNALS[] = {
    {SIGHUP, "SIGHUP"},   {SIGINT, "SIGINT"},   {SIGQUIT, "SIGQUIT"}, {SIGILL, "SIGILL"},
    {SIGTRAP, "SIGTRAP"}, {SIGABRT, "SIGABRT"}, {SIGBUS, "SIGBUS"},   {SIGFPE, "SIGFPE"},
    {SIGKILL, "SIGKILL"}, {SIGUSR1, "SIGUSR1"}, {SIGSEGV, "SIGSEGV"}, {SIGUSR2, "SIGUSR2"},
    {SIGPIPE, "SIGPIPE"}, {SIGALRM, "SIGALRM"}, {SIGTERM, "SIGTERM"}, {SIGXCPU, "SIGXCPU"},
    {SIGXFSZ, "SIGXFSZ"}, {SIGSYS, "SIGSYS"},
};

static napi_value signal_value(napi_env env, int number) {
  char other[24];
  const char *name = NULL;
  napi_value value;
  for (size_t i = 0; i < sizeof SIGNALS / sizeof SIGNALS[0]; i++) {
    if (SIGNALS[i].number == number) name = SIGNALS[i].name;
  }
  if (name == NULL) {
    snprintf(other, sizeof other, "SIG%d", number);
    name = other;
  }
  TRY(napi_create_string_utf8(env, name, NAPI_AUTO_LENGTH, &value));
  return value;
}

static napi_value pidfd_exit(napi_env env, napi_callback_info info) {
  napi_value args[1], result, exited;
  int32_t fd = -1;
  struct rz_exit facts = {0};
  TRY(arguments(env, info, 1, args));
  TRY(napi_get_value_int32(env, args[0], &fd));
  if (rz_pidfd_exit(fd, &facts) != 0) facts = (struct rz_exit){0};
  napi_value code = null_value(env);
  napi_value signal = null_value(env);
  if (facts.known && WIFEXITED(facts.status)) code = number(env, WEXITSTATUS(facts.status));
  if (facts.known && WIFSIGNALED(facts.status)) signal = signal_value(env, WTERMSIG(facts.status));
  TRY(napi_create_object(env, &result));
  TRY(napi_get_boolean(env, facts.exited != 0, &exited));
  TRY(napi_set_named_property(env, result, "exited", exited));
  TRY(napi_set_named_property(env, result, "exit", code));
  TRY(napi_set_named_property(env, result, "signal", signal));
  return result;
}

static napi_value crc32_(napi_env env, napi_callback_info info) {
  napi_value args[2];
  napi_typedarray_type type;
  napi_valuetype seed_type;
  size_t length = 0;
  void *bytes = NULL;
  uint32_t seed = 0;
  TRY(arguments(env, info, 2, args));
  TRY(napi_get_typedarray_info(env, args[0], &type, &length, &bytes, NULL, NULL));
  if (type != napi_uint8_array) return fail(env);
  TRY(napi_typeof(env, args[1], &seed_type));
  if (seed_type != napi_undefined) TRY(napi_get_value_uint32(env, args[1], &seed));
  return number(env, rz_crc32(seed, bytes, length));
}

static void finalize_instance(napi_env env, void *data, void *hint) {
  (void)env, (void)hint;
  drop_reference(data);
}

NAPI_MODULE_INIT() {
  const napi_property_descriptor calls[] = {
      {"mapCreate", NULL, map_create, NULL, NULL, NULL, napi_enumerable, NULL},
      {"unmap", NULL, unmap, NULL, NULL, NULL, napi_enumerable, NULL},
      {"lockFile", NULL, lock_file, NULL, NULL, NULL, napi_enumerable, NULL},
      {"lockHolder", NULL, lock_holder, NULL, NULL, NULL, napi_enumerable, NULL},
      {"pidfdOpen", NULL, pidfd_open_, NULL, NULL, NULL, napi_enumerable, NULL},
      {"pidfdExit", NULL, pidfd_exit, NULL, NULL, NULL, napi_enumerable, NULL},
      {"crc32", NULL, crc32_, NULL, NULL, NULL, napi_enumerable, NULL},
  };
  struct mappings *all = calloc(1, sizeof *all);
  if (all == NULL) return NULL;
  all->references = 1;
  rz_crc32_init();
  TRY(napi_set_instance_data(env, all, finalize_instance, NULL));
  TRY(napi_define_properties(env, exports, sizeof calls / sizeof calls[0], calls));
  return exports;
}
