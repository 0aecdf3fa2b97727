from transformers import BertConfig

from intents.data import INTENTS, PAD, WORDS


def bert_config():
    return BertConfig(
        vocab_size=WORDS, hidden_size=48, num_hidden_layers=2, num_attention_heads=4, intermediate_size=96,
        max_position_embeddings=20, pad_token_id=PAD, num_labels=INTENTS, hidden_dropout_prob=0.1,
    )
