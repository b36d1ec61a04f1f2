//go:build unix

package origin

import (
	"net"
	"syscall"
)

// socketQuiet looks into the kernel's buffer without taking anything out of it.
func socketQuiet(nc net.Conn) bool {
	sc, ok := plainConn(nc).(syscall.Conn)
	if !ok {
		return true // in memory, in tests
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return false
	}
	var peek error
	err = raw.Control(func(fd uintptr) {
		var one [1]byte
		_, _, peek = syscall.Recvfrom(int(fd), one[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
	})
	// Neither data nor an end.
	return err == nil && (peek == syscall.EAGAIN || peek == syscall.EWOULDBLOCK)
}
