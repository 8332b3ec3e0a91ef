// Package iptable answers which entry of a list matches a client. The entries are spans of IPv4 and IPv6 addresses, host
// names and HELO names; some are exceptions, and some expire.
//
// # Design
//
// A table is built once, never changes, and is replaced as a whole. So lookups need no lock and no allocation, and all
// that can be decided in advance is decided when the table is built:
//
//   - Address entries may nest and overlap. A sweep ([flattener]) turns them into sorted disjoint segments, each with the
//     one entry that decides in it. A lookup needs no precedence and no longest-prefix match: it searches one sorted
//     array. A trie visits one node, and often one cache line, for each byte of the address.
//   - IPv4 segments are found by the upper half of the address, through an index ([segments4]). The lower half and the
//     entry number take six bytes for a single address, side by side: three cache lines for a lookup. IPv6 segments
//     are below a static B-tree of the upper 64 bits ([segments6], [searchTree]).
//   - Nothing else is stored for most entries. The text of a prefix is made again from the address of the client and the
//     length of the prefix, and its line follows from the entry before, wherever a person wants to read them.
//   - A name is found by a hash table without pointers ([nameIndex]); its slots point to the texts of the entries.
//   - Nothing has pointers, so that millions of entries cost the garbage collector nothing. Building reads the entries
//     into packed words, sorts them by radix and counts before it allocates: the old table answers meanwhile, and both
//     have to fit into memory.
//   - Only where an entry that expires overlaps another one does the time decide. Those spans are in an interval tree
//     that is searched at the lookup ([intervalTree]), which keeps the table as small as the list.
//
// "make bench-quick" and "make bench" compare lookup, load time and memory with bart, netipx, rbldnsd and cidr tables of
// Postfix; cmd/ehlogate/internal/test/benchmarks/RESULTS.md has the last results. Tests hold the answers against an
// oracle that compares all entries one by one.
package iptable
