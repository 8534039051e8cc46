//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd)

package statefile

import "os"

// lock does nothing: these systems have no flock.
func lock(*os.File) error { return nil }

// syncDir does nothing: these systems cannot sync a directory.
func syncDir(string) error { return nil }

// isFull does not know the errors of these systems.
func isFull(error) bool { return false }

// sharedWithOthers cannot be told from the mode of a file here.
func sharedWithOthers(os.FileInfo) bool { return false }

// numberOf does not know the numbers of files here.
func numberOf(*os.File) string { return "" }
