package console

import "runtime"

// ioctls to get and set the mode. Package syscall does not have them for Linux.
var getMode, setMode = func() (get, set uintptr) {
	switch runtime.GOARCH {
	case "mips", "mipsle", "mips64", "mips64le":
		return 0x540d, 0x540e
	case "ppc64", "ppc64le":
		return 0x402c7413, 0x802c7414
	}
	return 0x5401, 0x5402
}()
