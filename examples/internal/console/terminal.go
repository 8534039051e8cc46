package console

import (
	"os"
	"strconv"
)

// isTerminal reports whether a stream is a terminal.
func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	if !ok {
		return false
	}
	return terminal(f)
}

// sizeOf returns the size of a terminal: its own answer, or else the environment's, or else
// 80 by 24.
func sizeOf(stream any) Size {
	size, _ := windowSize(stream)
	return Size{orElse(size.Columns, "COLUMNS", 80), orElse(size.Rows, "LINES", 24)}
}

func orElse(n int, variable string, otherwise int) int {
	if n > 0 {
		return n
	}
	if n, err := strconv.Atoi(os.Getenv(variable)); err == nil && n > 0 {
		return n
	}
	return otherwise
}
