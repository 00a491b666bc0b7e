{
  # The addon, and beside it the C programs that measure what the machine can do (bench/limits).
  'variables': {
    'limit_probes': '<!(node -p "+require(\'fs\').existsSync(\'bench/limits/limit-probes.c\')")',
  },
  'targets': [
    {
      'target_name': 'pagelog',
      'sources': [
        'native/addon.cc',
        'native/arguments.cc',
        'native/batch_check.cc',
        'native/crc32c.cc',
        'native/descriptors.cc',
        'native/directory_scan.cc',
        'native/file_calls.cc',
        'native/file_writes.cc',
        'native/pool_call.cc',
        'native/send_run.cc',
        'native/socket_options.cc',
      ],
      'include_dirs': ['<!(node -p "require(\'node-addon-api\').include_dir")'],
      'defines': ['NAPI_VERSION=8', 'NAPI_DISABLE_CPP_EXCEPTIONS', 'NODE_ADDON_API_DISABLE_DEPRECATED', '_GNU_SOURCE'],
      'cflags': ['-O3', '-Wall', '-Wextra', '-fvisibility=hidden'],
      'cflags_cc!': ['-std=gnu++20'],
      'cflags_cc': ['-std=c++17', '-fno-exceptions', '-fvisibility-inlines-hidden'],
      'xcode_settings': {
        'CLANG_CXX_LANGUAGE_STANDARD': 'c++17',
        'GCC_ENABLE_CPP_EXCEPTIONS': 'NO',
        'GCC_OPTIMIZATION_LEVEL': '3',
        'GCC_SYMBOLS_PRIVATE_EXTERN': 'YES',
        'MACOSX_DEPLOYMENT_TARGET': '11.0',
      },
    },
  ],
  'conditions': [
    ['limit_probes==1', {
      'targets': [
        {
          'target_name': 'limit_probes',
          'type': 'executable',
          'sources': ['bench/limits/limit-probes.c'],
          'cflags': ['-O3', '-Wall', '-Wextra'],
          'cflags_c': ['-std=gnu11'],
          'libraries': ['-lpthread'],
        },
      ],
    }],
  ],
}
