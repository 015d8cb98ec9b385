"""Batch norms with a forward of their own, which no plain batch norm may take the place of."""


class Irreplaceable:
    """What a batch norm inherits from, first, if its forward does more than batch norm.

    Such a layer stays a batch norm to torch, so that whatever treats the running statistics of a
    model finds it (`torch.optim.swa_utils.update_bn`, freezing, `layers.statistics`). But
    `nn.SyncBatchNorm.convert_sync_batchnorm`, and code of its kind, makes a plain norm out of
    num_features, eps, momentum and affine, and the rest of the layer would be lost without a word.
    Therefore it has no `affine`: asked for it, it says so.

    `torch.nn.utils.fuse_conv_bn_eval` cannot be stopped in this way: it takes whatever it is handed
    as a plain batch norm, so hand it none of these. Its searching relatives (`torch.fx`,
    `torch.ao.quantization`) go by the exact type, and leave these layers alone or refuse them.
    """

    def __getattr__(self, name):
        if name == "affine":
            kind = type(self).__name__
            raise AttributeError(
                f"{kind} cannot be replaced by a SyncBatchNorm or another plain batch norm, which "
                f"asks for its `affine`: what {kind} does beyond batch norm would be lost. Convert "
                "only those parts of the model that have none of it (nn.SyncBatchNorm."
                f"convert_sync_batchnorm(part)), and leave {kind} as it is: each process then "
                "takes the statistics of its own pictures"
            )
        return super().__getattr__(name)

    def extra_repr(self) -> str:
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, "
            f"track_running_stats={self.track_running_stats}"
        )
