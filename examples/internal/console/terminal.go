package console

import (
	"os"
	"strconv"
)

// isTerminal says whether a stream is a terminal.
func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	if !ok {
		return false
	}
	return terminal(f)
}

// sizeOf is the size of a terminal: what it says, or the environment, or that of the
// terminals of old.
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
