package listen

import "syscall"

// soReusePort is missing from package syscall on some architectures.
const soReusePort = 0xf

func setReusePort(fd uintptr) error {
	return syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, soReusePort, 1)
}

// readBufferOf returns the size that was asked for and granted: the kernel doubles
// it for its own use (socket(7)).
func readBufferOf(fd uintptr) int {
	n, err := syscall.GetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF)
	if err != nil {
		return 0
	}
	return n / 2
}

// fileLimit is the soft limit; Go's runtime has raised it to the hard one.
func fileLimit() (uint64, error) {
	var r syscall.Rlimit
	err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &r)
	return r.Cur, err
}
