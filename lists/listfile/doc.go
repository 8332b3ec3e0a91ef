// Package listfile reads list files, which operators edit by hand, and keeps what it read as an immutable [List].
//
//	pattern  -- filewatch -->  files  -- Parse -->  items  -- iptable -->  table  -- Lookup -->  match
//
// [Parse] is strict: each mistake in a file is reported with its place and a hint, and none is skipped. A file with a
// mistake is refused as a whole, and the last good table keeps answering. [Lint] warns about correct entries that
// are hardly meant. Files of other programs are read by a [Grammar] of their own (package lists/feed).
package listfile
