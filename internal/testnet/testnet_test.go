package testnet

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"
)

func TestPipe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := Listen()
		client, err := l.Dial()
		if err != nil {
			t.Fatal(err)
		}
		server, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		// More than the buffer holds: the writer waits for the reader.
		big := bytes.Repeat([]byte("x"), 3*bufferBytes)
		go func() {
			client.Write(big)
			client.CloseWrite()
		}()
		got, err := io.ReadAll(server)
		if err != nil || !bytes.Equal(got, big) {
			t.Fatalf("read %d bytes, %v; want %d", len(got), err, len(big))
		}

		client.SetReadDeadline(time.Now().Add(time.Minute))
		start := time.Now()
		if _, err := client.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(start) != time.Minute {
			t.Errorf("read past the deadline: %v after %v", err, time.Since(start))
		}
		server.SetWriteDeadline(time.Now().Add(time.Minute))
		if n, err := server.Write(big); n != bufferBytes || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("stalled write: %d, %v", n, err)
		}
		client.Close()
		if _, err := server.Write([]byte("x")); err == nil {
			t.Error("writing to a closed end succeeded")
		}
		if _, err := client.Read(nil); !errors.Is(err, net.ErrClosed) {
			t.Errorf("reading a closed end: %v", err)
		}
		l.Close()
		if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("accepting from a closed listener: %v", err)
		}
	})
}
