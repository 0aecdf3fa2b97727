from transformers import T5Config

from keywords.data import EOS, PAD, VOCAB


def t5_config():
    return T5Config(
        vocab_size=VOCAB, d_model=48, d_kv=12, d_ff=96, num_layers=1, num_decoder_layers=1, num_heads=4, dropout_rate=0.0,
        pad_token_id=PAD, eos_token_id=EOS, decoder_start_token_id=PAD, feed_forward_proj="relu",
    )
