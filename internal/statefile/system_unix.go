//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package statefile

import (
	"errors"
	"os"
	"strconv"
	"syscall"
)

// lock takes the lock of a file, or fails at once. It ends with the process, however that ends.
func lock(f *os.File) error {
	return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
}

// syncDir makes a renaming last.
func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// isFull says that a write failed for want of space.
func isFull(err error) bool { return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) }

// sharedWithOthers says that others than the owner may read or write a file.
func sharedWithOthers(info os.FileInfo) bool { return info.Mode().Perm()&0o077 != 0 }

// numberOf returns a file's number. A rename keeps it, and a copy has another one. It is empty if the
// system does not tell.
func numberOf(f *os.File) string {
	info, err := f.Stat()
	if err != nil {
		return ""
	}
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		return strconv.FormatUint(uint64(s.Ino), 10)
	}
	return ""
}
