// Package controlplane pins what scripts/get-control-plane builds from this module.
package controlplane

import (
	_ "k8s.io/kubernetes/cmd/kube-apiserver/app"
)
