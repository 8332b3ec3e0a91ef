// Package filewatch finds out when the files of a list have changed, and when the change is complete.
//
//	                  StatFiles                 Settler                     Snapshot.Read
//	patterns, files  ----------->  Snapshot  ------------>  is complete?  ---------------->  content
//
// A [Snapshot] is the result of one look: which files the patterns match, and a stat(2) of each. It is handed on from the
// look to the read, which opens the files that it names and checks that they are still those it saw. So an edit
// costs one expansion and one stat(2) of each file a look, and none to read.
//
// A [Settler] compares looks. An [Activity] shows a hanging file system. An error is either about the files, so that the
// operator has to change something (a diag.Problem), or about reading them, so that it is tried again (a [ReadError]).
package filewatch
