package app

// heapFloorBytes is ours, measured: an edge whose cache is still small has a live heap of
// a few MiB, and the garbage of some hundred handshakes - crypto/tls makes 55 KiB for
// each - would start a collection. With this floor a handshake costs a tenth less CPU
// than without, for up to this much more memory. Twice as much gained nothing: that much
// garbage falls out of the processor's caches.
const heapFloorBytes = 32 << 20

// heapFloor is memory that nobody uses: the collector waits until as much garbage is there
// as there is live memory, and this counts as live. It is never touched, so that it takes
// none of the machine's memory itself. An operator who sets the collector gets just that.
func heapFloor(env map[string]string) []byte {
	if env["GOGC"] != "" || env["GOMEMLIMIT"] != "" {
		return nil
	}
	return make([]byte, heapFloorBytes)
}
