// The etcd server. `go install` refuses etcd's own module for its replace directives, so it is built from here.
package main

import (
	"os"

	"go.etcd.io/etcd/server/v3/etcdmain"
)

func main() {
	etcdmain.Main(os.Args)
}
